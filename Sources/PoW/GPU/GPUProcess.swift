internal import Foundation
public import IorunCore
internal import Synchronization

/// A process that computes proofs on one GPU for its parent: a fault of the driver ends it and not a node's
/// agent, and once it has ended nothing of it is left on the GPU. Orders and answers are JSON, one a line.
public enum GPUProcess {
  /// The hidden argument by which the program runs this.
  public static let argument = "__gpu_prove"
  /// What stands in a UUID's place for the processor: what a machine without a GPU is tested with.
  public static let processor = "processor"
  /// No line is longer: an answer has at most 128 pieces.
  public static let mostLineBytes = 16 << 20

  /// What the parent wants.
  public enum Work: Hashable, Codable, Sendable {
    /// The rates of a claim.
    case measure(memoryBytes: Int, milliseconds: Int)
    /// Memory is filled.
    case fill(TableOrder)
    /// A challenge is solved.
    case solve(Challenge)
    /// Its work is opened.
    case open(OpeningRequest)
  }

  /// What came of it.
  public enum Outcome: Codable, Sendable {
    /// The rates.
    case measured(GPURates)
    /// Memory is full.
    case filled
    /// The roots of a challenge's work.
    case solved([Digest])
    /// The opened pieces.
    case opened(Answer)
    /// It could not be done.
    case failed(IorunError)
  }

  /// A line to the process. Several orders are worked on side by side.
  public struct Order: Codable, Sendable {
    /// Comes back with the answer.
    public var number: Int
    /// What to do.
    public var work: Work

    /// Describes an order.
    public init(number: Int, work: Work) { (self.number, self.work) = (number, work) }
  }

  /// A line of the process.
  public struct Reply: Codable, Sendable {
    /// The order's.
    public var number: Int
    /// What came of it.
    public var outcome: Outcome
  }

  /// The whole life of the process: `PROGRAM __gpu_prove UUID` reads orders until its input ends, which is
  /// when its parent has.
  ///
  /// - Returns: the process's exit status.
  public static func run(_ arguments: [String]) -> Int32 {
    guard let uuid = arguments.dropFirst(2).first else { return 64 }
    let chip = uuid == processor ? GPUSolver.Chip.processor : .gpu(uuid: uuid)
    let output = Output()
    let opened = Result { try GPUSolver(chip) }
    while let line = readLine() {
      guard let order = try? JSONDecoder().decode(Order.self, from: Data(line.utf8)) else {
        return 65
      }
      Task {
        do {
          output.write(
            Reply(
              number: order.number, outcome: try await perform(order.work, on: opened.get())))
        } catch {
          let fault = error as? IorunError ?? IorunError(.gpuFault, "\(error)")
          output.write(Reply(number: order.number, outcome: .failed(fault)))
        }
      }
    }
    return 0
  }

  /// Whole lines, from whatever thread.
  private final class Output: Sendable {
    private let file = Mutex(FileHandle.standardOutput)

    func write(_ reply: Reply) {
      guard var line = try? JSONEncoder().encode(reply) else { return }
      line.append(UInt8(ascii: "\n"))
      let bytes = line
      file.withLock { try? $0.write(contentsOf: bytes) }
    }
  }

  /// Does one thing.
  public static func perform(_ work: Work, on solver: GPUSolver) async throws -> Outcome {
    switch work {
    case .measure(let memory, let milliseconds):
      let rates = try await solver.measure(memory: memory, seconds: Double(milliseconds) / 1000)
      return .measured(rates)
    case .fill(let order):
      try await solver.fill(order)
      return .filled
    case .solve(let challenge): return .solved(try await solver.solve(challenge))
    case .open(let request): return .opened(try await solver.open(request))
    }
  }
}
