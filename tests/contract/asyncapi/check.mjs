// Validates an AsyncAPI document with the reference parser: `node check.mjs FILE`.
// Prints every diagnosis that is an error or a warning; exits 1 if there is one.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const ERROR = 0;
const WARNING = 1;

const [file] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
const faults = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
for (const { code, message, path } of faults) {
  console.error(`${path.join(".")}: ${message} (${code})`);
}
if (!document || faults.length > 0) {
  process.exit(1);
}
console.log(`${document.version()}: ${document.channels().length} channels, ${document.operations().length} operations`);
