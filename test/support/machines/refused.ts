/** The system calls that the lock refuses whatever their arguments, of all rights together. */
import { REFUSED } from "../../../src/lockdown/refused.ts";

const { files, programs, processes, sockets, privileges, machine } = REFUSED;
export const REFUSED_CALLS = { ...files, ...programs, ...processes, ...sockets, ...privileges, ...machine };
