/** Which meter a plan asks for. */
import { ConfigError } from "../program/options.ts";
import type { Plan } from "./config.ts";
import { CostMeter, type Meter, MetricsMeter } from "./cost.ts";
import { listenersOn } from "./machine.ts";

/**
 * The meter of the relay that --pid, --pid-of-port or --metrics names; null where none does.
 * @throws ConfigError where it is not there
 */
export async function meterFor({ pid, pidOfPort, metrics }: Plan): Promise<Meter | null> {
  if (metrics !== "off")
    try {
      return await MetricsMeter.open(metrics);
    } catch (failure) {
      const why = failure instanceof Error ? failure.message : "";
      throw new ConfigError(`--metrics ${JSON.stringify(metrics)} can't be read: ${why}`);
    }
  if (pidOfPort) {
    const [found, ...others] = listenersOn(pidOfPort);
    if (found === undefined) throw new ConfigError(`--pid-of-port "${pidOfPort}": no process is seen to listen there`);
    if (others.length > 0)
      throw new ConfigError(
        `--pid-of-port "${pidOfPort}": several listen there, ${[found, ...others].join(", ")}; choose by --pid`,
      );
    return new CostMeter(found);
  }
  if (!pid) return null;
  try {
    return new CostMeter(pid);
  } catch {
    throw new ConfigError(`--pid "${pid}" is not a process of this machine`);
  }
}
