/**
 * A high dynamic range histogram of times: every value from 1 microsecond to an hour is kept within 0.1 %, in a table
 * of fixed size, whatever is put in. Buckets are linear within each power of two, as in Gil Tene's HdrHistogram. Pure.
 */

/** Values below this are kept exactly; each further power of two is cut into half as many steps, so within 0.1 %. */
const EXACT = 2_048;
const HALF = EXACT / 2;
const EXACT_BITS = 11;
/** Above an hour it no longer matters how much. */
const LARGEST = 3_600_000_000;
const SIZE = indexOf(LARGEST) + 1;

/** A histogram as it goes over a pipe or into a file: pairs of bucket and count, with what a sum can't give back. */
export interface HistogramData {
  readonly buckets: readonly (readonly [index: number, count: number])[];
  readonly sum: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(SIZE);
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** The largest value, as it was put in; 0 where there is none. */
  get max(): number {
    return this.#max;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** @param micros a time in microseconds; less than nothing counts as nothing */
  add(micros: number, count = 1): void {
    const value = Math.min(LARGEST, Math.max(0, Math.round(micros)));
    const index = indexOf(value);
    this.#counts[index] = (this.#counts[index] ?? 0) + count;
    this.#count += count;
    this.#sum += value * count;
    if (value > this.#max) this.#max = value;
  }

  /** Takes in what another one has counted. */
  merge({ buckets, sum, max }: HistogramData): void {
    for (const [index, count] of buckets) {
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
      this.#count += count;
    }
    this.#sum += sum;
    this.#max = Math.max(this.#max, max);
  }

  /** The least value that `percent` of all don't exceed, in microseconds; never more than the maximum. */
  percentile(percent: number): number {
    return this.ranked(Math.max(1, Math.ceil((this.#count * percent) / 100)));
  }

  /** The least value that `wanted` of them don't exceed, in microseconds; the maximum where there are no more. */
  ranked(wanted: number): number {
    let seen = 0;
    for (let index = 0; index < SIZE; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= wanted) return Math.min(highest(index), this.#max);
    }
    return this.#max;
  }

  /** How many values don't exceed one that `percentile` gave. */
  countUpTo(micros: number): number {
    let seen = 0;
    for (let index = 0; index <= Math.min(SIZE - 1, indexOf(micros)); index++) seen += this.#counts[index] ?? 0;
    return seen;
  }

  /** The standard deviation, within the histogram's error. */
  get deviation(): number {
    let squares = 0;
    this.#counts.forEach((count, index) => {
      if (count > 0) squares += count * (Math.min(highest(index), this.#max) - this.mean) ** 2;
    });
    return this.#count === 0 ? 0 : Math.sqrt(squares / this.#count);
  }

  toData(): HistogramData {
    const buckets: [number, number][] = [];
    this.#counts.forEach((count, index) => {
      if (count > 0) buckets.push([index, count]);
    });
    return { buckets, sum: this.#sum, max: this.#max };
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = this.#sum = this.#max = 0;
  }
}

/** The histogram that `data` was made from. */
export function histogramOf(data: HistogramData | undefined): Histogram {
  const histogram = new Histogram();
  if (data) histogram.merge(data);
  return histogram;
}

function indexOf(value: number): number {
  if (value < EXACT) return value;
  const shift = 31 - Math.clz32(value) - (EXACT_BITS - 1);
  return shift * HALF + (value >>> shift);
}

/** The largest value that falls into the bucket. */
function highest(index: number): number {
  if (index < EXACT) return index;
  const shift = Math.floor(index / HALF) - 1;
  return (index - shift * HALF + 1) * 2 ** shift - 1;
}
