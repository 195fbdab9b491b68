import IorunClient
import IorunCore
import Testing

/// Swift Testing has a type of the same name.
typealias Status = IorunClient.ExitStatus

@Suite struct ExitStatusTests {
  @Test func `the numbers are those that scripts rely on`() {
    #expect(Status.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 7, 64])
  }

  @Test(
    "each kind of error has its status",
    arguments: [
      (IorunError.Code.noPlacement, Status.noPlacement), (.jobFailed, .jobFailed),
      (.notFound, .notFound), (.notAllowed, .notAllowed), (.ticketExpired, .notAllowed),
      (.keyNotAdmitted, .notAllowed), (.timedOut, .timedOut), (.specInvalid, .usage),
      (.diskFull, .error), (IorunError.Code(rawValue: 9999), .error),
    ])
  func status(code: IorunError.Code, status: Status) {
    #expect(Status(for: code) == status)
  }
}
