/** Of every answer that is no upgrade. An open connection would be a file, and all sent on it be answered together. */
export const HEADERS = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", Connection: "close" };
