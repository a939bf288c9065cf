// Appends "passed failed skipped" of a vitest JSON report to a file, and fails
// when nothing ran.
import { appendFileSync, readFileSync } from 'node:fs'

const [report, count] = process.argv.slice(2)
const r = JSON.parse(readFileSync(report, 'utf8'))
const skipped = r.numPendingTests + (r.numTodoTests ?? 0)
appendFileSync(count, `${r.numPassedTests} ${r.numFailedTests} ${skipped}\n`)
console.log(`${report}: ${r.numPassedTests} passed, ${r.numFailedTests} failed, ${skipped} skipped`)
if (r.numPassedTests === 0 || r.numFailedTests > 0) process.exit(1)
