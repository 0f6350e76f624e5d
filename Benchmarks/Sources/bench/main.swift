import Foundation

// Runs one comparison, or all of them: `bench first-call`.

let known: [String: () throws -> Report] = [
  "agent": AgentAnswer.run, "api": API.run, "dialog": DialogMachine.run, "first-call": FirstCall.run,
  "recognition": Recognition.alone, "survival": Survival.run,
]
let wanted = CommandLine.arguments.dropFirst().first ?? "all"
guard wanted == "all" || known[wanted] != nil else {
  let names = known.keys.sorted().joined(separator: ", ")
  FileHandle.standardError.write(Data("error: there is no benchmark '\(wanted)'; there are: \(names)\n".utf8))
  exit(2)
}
var missed = 0
for (name, run) in known.sorted(by: { $0.key < $1.key })
where wanted == name || wanted == "all" && name != "recognition" {  // recognition is a part of first-call
  print("\(name) on \(Report.machine)\n\(Report.header())")
  do {
    let report = try run()
    try report.write()
    missed += report.rows.count { $0.holds == false }
    print("written to bench-results/\(name).json")
  } catch {
    FileHandle.standardError.write(Data("error: \(name): \(error)\n".utf8))
    exit(1)
  }
}
if missed > 0 { print("\(missed) bar(s) missed") }
exit(missed > 0 ? 3 : 0)
