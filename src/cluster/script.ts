/**
 * What the engine does in one step: the script, and what nodes ask of it. Owns the names of all keys. Nobody but this
 * script writes them, and each has a time to live.
 *
 *   whisper:epoch         NUMBER|RUN|SINCE|LAYOUT: which run of which engine this is, as the first node found it, since when
 *                         claims count there, and among how many engines sessions are spread. Each has a higher number
 *                         than any that a node knows of: an engine that is older than its nodes is found out by that
 *   whisper:node:NODE     INCARNATION: there while the node's lease lasts. With it, all claims of the node end at once
 *   whisper:at:NAME       NODE|INCARNATION|FENCE|SINCE: which node has the session of this name, by which of its claims,
 *                         and under which epoch it last said so
 *   whisper:to:NODE       a channel: what other nodes say to it
 *
 * What was asked over a connection that has broken may still be done later. So each claim of an incarnation has a higher
 * number than those before, and what has a lower one, or is of an older incarnation, changes nothing.
 *
 * A claim counts while its node has its lease under the same incarnation. After an engine has begun anew, empty or
 * behind, nobody can claim anything for as long as a lease may still last that it knows nothing of; meanwhile the nodes
 * that are there say again what they have. What nobody has said again by then counts no more.
 *
 * The same is done where the engine's clock was set, since leases end by it. That shows by when somebody last said hello:
 * too long ago, or not yet. Then nobody claims anything, and no hello is taken, until a node says of its own clock whether
 * the engine's was set, or only nobody was there; one that never knew its time begins an epoch. What is too little to
 * show ends no lease that is renewed in time. A node that was away while it was set ahead and back is sure that it was not:
 * but an epoch that is yet to come is no epoch, and whoever says hello first begins another.
 */
import { EPOCH_MS, LEASE_MS, RECORD_MS, RENEW_MS } from "./times.ts";

const PREFIX = "whisper:";
/** The channel of a node. */
export const channelOf = (node: string): string => `${PREFIX}to:${node}`;
/** That of all. */
export const ALL = channelOf("all");
/** The key of a session's claim. */
export const keyOf = (name: string): string => `${PREFIX}at:${name}`;

/** A claim by its session, which the driver names to the engine in other words. */
export interface Claim {
  readonly code: string;
  readonly fence: string;
}

/**
 * What a node asks of the engine.
 * hello: I am here. `epoch`: the one that it knows; `isFirst`: whether it begins its incarnation with this;
 * `sureMs`: a time of the engine at which its clock was not set, as the node knows; 0: none
 * claim: who has this session? keep: I still have these. release: I have them no more. disown: I never had that one.
 */
export type Call =
  | { readonly op: "hello"; readonly epoch: string; readonly isFirst: boolean; readonly sureMs: number }
  | { readonly op: "claim"; readonly epoch: string; readonly code: string; readonly fence: string }
  | { readonly op: "keep"; readonly epoch: string; readonly claims: readonly Claim[] }
  | { readonly op: "release"; readonly claims: readonly Claim[] }
  | { readonly op: "disown"; readonly name: string; readonly fence: string };

/**
 * What it answers.
 * hello: ok, engine's time, epoch | odd: the same | lapsed | layout
 * claim: mine | owner, node, fence, index of the name | wait | stale | old
 * keep:  kept, [index of what another node has]… | stale
 * error: what the engine itself objects to, by its first word; null: no answer came
 */
export type Reply = readonly (string | number)[] | null;

/** ARGV: operation, node, incarnation, run, then as each takes it. KEYS: names, as many for each session. */
export const SCRIPT = `
local op, node, inc, run = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local said = string.format('%.0f', now)
local epoch = redis.call('GET', '${PREFIX}epoch')
local number, known, since, layout = string.match(epoch or '', '^(%d+)|([^|]*)|(%d+)|([^|]*)$')
local id = known and table.concat({ number, known, since }, '|') or ''
-- Whether its clock can't have gone on by itself, with nodes there, for so long.
local function odd(ms)
  return ms > ${LEASE_MS - RENEW_MS} or ms < -${RENEW_MS}
end
local isOdd = epoch and odd(${EPOCH_MS} - redis.call('PTTL', '${PREFIX}epoch'))
local me = node .. '|' .. inc .. '|'

local function lives(owner, incarnation)
  return redis.call('GET', '${PREFIX}node:' .. owner) == incarnation
end
-- What is there already needs no memory, of which there may be none.
local function put(key, value, ms)
  if redis.call('GET', key) == value then
    redis.call('PEXPIRE', key, ms)
  else
    redis.call('SET', key, value, 'PX', ms)
  end
end
local function write(key, fence)
  put(key, me .. fence .. '|' .. since, ${RECORD_MS})
end
local function read(key)
  return string.match(redis.call('GET', key) or '', '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
end

if op == 'hello' then
  local theirs = tonumber(string.match(ARGV[5], '^%d+') or 0)
  local ours = tonumber(number or 0)
  local isAhead = since and tonumber(since) > now -- none could claim until then
  if known ~= run or theirs > ours or isAhead or (isOdd and theirs == 0) then
    since = (epoch or theirs > 0) and said or string.format('%.0f', now - ARGV[8])
    layout, id = ARGV[7], table.concat({ math.max(ours, theirs) + 1, run, since }, '|')
  elseif layout ~= ARGV[7] then
    return { 'layout' }
  elseif isOdd and odd(now - ARGV[9]) then
    return { 'odd', said, id }
  end
  put('${PREFIX}epoch', id .. '|' .. layout, ${EPOCH_MS})
  local held = redis.call('GET', '${PREFIX}node:' .. node)
  if held and tonumber(held) > tonumber(inc) then return { 'lapsed' } end
  if ARGV[6] == '0' and ARGV[5] == id and held ~= inc then return { 'lapsed' } end
  put('${PREFIX}node:' .. node, inc, ${LEASE_MS})
  return { 'ok', said, id }
end

if op == 'release' then
  local each = #KEYS / (#ARGV - 4)
  for i, key in ipairs(KEYS) do
    local owner, incarnation, fence = read(key)
    if owner == node and incarnation == inc and fence == ARGV[5 + math.floor((i - 1) / each)] then
      redis.call('DEL', key)
    end
  end
  return { 'released' }
end

if op == 'bye' then
  if lives(node, inc) then redis.call('DEL', '${PREFIX}node:' .. node) end
  return { 'bye' }
end

if isOdd or id ~= ARGV[5] or not lives(node, inc) then return { 'stale' } end

local isEarly = now < since + ${LEASE_MS}

if op == 'claim' then
  for i, key in ipairs(KEYS) do
    local owner, incarnation, fence, of = read(key)
    if owner == node and incarnation == inc then
      if tonumber(fence) > tonumber(ARGV[6]) then return { 'old' } end
    elseif owner and lives(owner, incarnation) and (isEarly or of == since) then
      return { 'owner', owner, fence, i - 1 }
    end
  end
  if isEarly then return { 'wait' } end
  for _, key in ipairs(KEYS) do write(key, ARGV[6]) end
  return { 'mine' }
end

if op == 'keep' then
  local reply, each = { 'kept' }, #KEYS / (#ARGV - 5)
  for i, key in ipairs(KEYS) do
    local at = math.floor((i - 1) / each)
    local owner, incarnation, fence, of = read(key)
    if owner and owner ~= node and lives(owner, incarnation) and of == since then
      reply[#reply + 1] = at
    elseif owner ~= node or incarnation ~= inc or tonumber(fence) <= tonumber(ARGV[6 + at]) then
      write(key, ARGV[6 + at])
    end
  end
  return reply
end
`;

/** The script's arguments for a call, but for keys; `upMs`: how long the engine has been there. */
export function argumentsOf(call: Call, node: string, incarnation: number, run: string, layout: string, upMs: number) {
  const who = [call.op === "disown" ? "release" : call.op, node, `${incarnation}`, run];
  switch (call.op) {
    case "hello":
      return [...who, call.epoch, call.isFirst ? "1" : "0", layout, `${upMs}`, `${Math.round(call.sureMs)}`];
    case "claim":
      return [...who, call.epoch, call.fence];
    case "keep":
      return [...who, call.epoch, ...call.claims.map(({ fence }) => fence)];
    case "release":
      return [...who, ...call.claims.map(({ fence }) => fence)];
    case "disown":
      return [...who, call.fence];
  }
}
