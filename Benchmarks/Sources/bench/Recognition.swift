enum Recognition { static func run(_ report: inout Report) throws {} }
