public import IorunCore

/// What a client wants of a rank, over a stream of its own.
public struct StreamRequest: Hashable, Codable, Sendable {
  /// What the stream is for.
  public enum Purpose: Hashable, Codable, Sendable {
    /// A TCP connection to a port on the rank's loopback. The stream carries its bytes.
    case connect(port: UInt16)
    /// A command beside the rank. The stream carries `ExecRecord`s.
    case execute(Execution)
    /// Files into the rank's working folder. The stream carries `CopyRecord`s; the client sends.
    case copyIn(path: String)
    /// Files out of the rank's working folder; the node sends.
    case copyOut(path: String)
  }

  /// The rank.
  public var lease: LeaseID
  /// The asking process's address on the mesh; one of the caller's own.
  public var client: PeerID
  /// The stream's number, drawn by the client.
  public var stream: UInt64
  /// What the client takes at first, in bytes.
  public var window: UInt64
  /// What it is for.
  public var purpose: Purpose

  /// Describes a request.
  public init(
    lease: LeaseID, client: PeerID, stream: UInt64, window: UInt64, purpose: Purpose
  ) {
    self.lease = lease
    self.client = client
    self.stream = stream
    self.window = window
    self.purpose = purpose
  }
}

/// A command to run beside a rank: in its working folder, environment and network.
public struct Execution: Hashable, Codable, Sendable {
  /// The program, looked up in the rank's `PATH`, and its arguments.
  public var command: [String]
  /// Variables over the rank's own: what a terminal needs, such as `TERM`.
  public var environment: [String: String]
  /// The size of the terminal that the command gets; `nil` for plain pipes.
  public var terminal: TerminalSize?

  /// Describes a command.
  public init(
    command: [String], environment: [String: String] = [:], terminal: TerminalSize? = nil
  ) {
    self.command = command
    self.environment = environment
    self.terminal = terminal
  }
}

/// How large a terminal is.
public struct TerminalSize: Hashable, Codable, Sendable {
  /// Lines.
  public var rows: UInt16
  /// Characters a line.
  public var columns: UInt16

  /// Describes a size.
  public init(rows: UInt16, columns: UInt16) {
    self.rows = rows
    self.columns = columns
  }
}

/// The windows of streams to ranks, in bytes: what may wait at the end that reads slowly.
public enum StreamWindows {
  /// A forwarded connection. Many are open at once.
  public static let connection: UInt64 = 1 << 20
  /// A command's input and output.
  public static let terminal: UInt64 = 256 << 10
  /// A copy: full speed at 200 ms and 300 Mb/s.
  public static let copy: UInt64 = 8 << 20

  /// The class and window of a purpose.
  public static func window(for purpose: StreamRequest.Purpose) -> (StreamPort.Kind, UInt64) {
    switch purpose {
    case .connect: (.bulk, connection)
    case .execute: (.terminal, terminal)
    case .copyIn, .copyOut: (.bulk, copy)
    }
  }
}

/// One node's ranks, for the clients that own them. Served by the node.
public protocol RankService: Sendable {
  /// Opens this side of a stream and begins what it is for; returns what this side takes at first,
  /// in bytes. Throws `notAllowed` without the head's pass, `rankEnded`, `connectionRefused`,
  /// `spawnFailed`, `overloaded`.
  func open(_ request: StreamRequest, caller: PeerID) async throws -> UInt64
}
