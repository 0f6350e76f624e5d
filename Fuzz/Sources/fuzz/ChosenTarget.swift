import Glibc

/// Names of all targets: those of the dialog machine and those of the protocols.
let targetNames = FuzzTarget.allCases.map(\.rawValue) + ProtocolTarget.allCases.map(\.rawValue)

/// What the target that PARLEY_FUZZ names does with an input; nil where it names none.
let chosenTarget: (@Sendable ([UInt8]) throws -> Void)? = getenv("PARLEY_FUZZ").flatMap { text in
  let name = String(cString: text)
  if let target = FuzzTarget(rawValue: name) { return { try target.run($0) } }
  if let target = ProtocolTarget(rawValue: name) { return { try target.run($0) } }
  return nil
}

func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  do {
    try chosenTarget?(Array(UnsafeBufferPointer(start: data, count: size)))
  } catch {
    // Where libFuzzer sees it: as a crash, with the input kept.
    print("finding: \(error)")
    abort()
  }
  return 0
}
