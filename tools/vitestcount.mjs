// Appends "passed failed skipped" of a vitest JSON report to a file, names what
// passed at a second try only, and fails when nothing ran.
import { appendFileSync, readFileSync } from 'node:fs'

const [report, count] = process.argv.slice(2)
const r = JSON.parse(readFileSync(report, 'utf8'))
const skipped = r.numPendingTests + (r.numTodoTests ?? 0)
appendFileSync(count, `${r.numPassedTests} ${r.numFailedTests} ${skipped}\n`)
for (const test of r.testResults.flatMap((file) => file.assertionResults)) {
  if (test.status === 'passed' && test.failureMessages.length > 0) console.log(`PASSED AT A SECOND TRY: ${test.fullName}: ${test.failureMessages[0].split('\n')[0]}`)
}
console.log(`${report}: ${r.numPassedTests} passed, ${r.numFailedTests} failed, ${skipped} skipped`)
if (r.numPassedTests === 0 || r.numFailedTests > 0) process.exit(1)
