import Glibc

// Runs libFuzzer on the target that PARLEY_FUZZ names; see scripts/fuzz.

/// libFuzzer's own `main`, as a function (compiler-rt, FuzzerInterface.h).
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
  _ argc: UnsafeMutablePointer<CInt>,
  _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

guard chosenTarget != nil else {
  print("error: PARLEY_FUZZ must be one of \(targetNames.joined(separator: ", "))")
  exit(2)
}
var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(runFuzzer(&count, &arguments, fuzzOneInput))
