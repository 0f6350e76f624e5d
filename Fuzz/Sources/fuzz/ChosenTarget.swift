import Glibc

let chosenTarget = getenv("PARLEY_FUZZ").flatMap { FuzzTarget(rawValue: String(cString: $0)) }

func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  do {
    try chosenTarget?.run(Array(UnsafeBufferPointer(start: data, count: size)))
  } catch {
    // Where libFuzzer sees it: as a crash, with the input kept.
    print("finding: \(error)")
    abort()
  }
  return 0
}
