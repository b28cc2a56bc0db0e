#!/bin/sh
# Hands over from the relay that runs to a fresh one, which has the renewed certificate, a new binary or other options,
# without dropping anyone. A running relay keeps what it was started with, so a second one is started beside it, which
# shares its port (--reuse-port), and when that is ready the first is stopped and drains: pairs finish, whoever waits is
# told to come back and does so at the second.
#
# certbot runs it after each renewal:
#
#   certbot certonly … --deploy-hook /usr/local/lib/whisper-signaling/renew-hook.sh
#
# The two are instances of one unit, whisper-signaling@.service, that take turns; `whisper-signaling print systemd@`
# writes it. The name of an instance is the port of its --admin listener. docs/OPERATIONS.md, "TLS", says more.
# Needs systemctl and root. Exit code 0: the fresh relay serves. Otherwise the old one still does.
set -eu

instances=${WHISPER_INSTANCES:-9001 9002}

unit() {
  echo "whisper-signaling@$1.service"
}

say() {
  echo "renew-hook: $*" >&2
}

# The first that runs is the old one; where none does, the first is to run.
old='' new=''
for instance in $instances; do
  if [ -z "$old" ] && systemctl is-active --quiet "$(unit "$instance")"; then
    old=$instance
  elif [ -z "$new" ]; then
    new=$instance
  fi
done
if [ -z "$new" ]; then
  say "WHISPER_INSTANCES names fewer than two instances"
  exit 1
fi

# It may still drain since the last time, or run since one that was cut short: this waits for its end.
systemctl stop "$(unit "$new")"

# Type=notify: this returns when the new one says that it listens, or when it has failed. Then it is not tried again.
if ! systemctl start "$(unit "$new")"; then
  systemctl stop "$(unit "$new")"
  say "$(unit "$new") does not start, and the old one goes on; see journalctl -u $(unit "$new")"
  exit 1
fi

# From here on the new one serves. After a reboot it is the one to start; the old one goes when its pairs have gone.
systemctl enable --quiet "$(unit "$new")"
if [ -n "$old" ]; then
  systemctl disable --quiet "$(unit "$old")"
  systemctl stop "$(unit "$old")"
fi
say "$(unit "$new") serves now"
