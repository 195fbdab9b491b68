internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Logging

extension Hub {
  /// One frame of a process.
  ///
  /// - Throws: what makes the connection unreadable: it is closed.
  func received(_ frame: LocalFrame, from connection: HubConnection) throws {
    switch connection.role {
    case .stranger:
      guard frame.header.kind == .request, frame.header.aux == LocalOperation.hello.rawValue else {
        throw IorunError(
          .malformed, "the first frame of a process must be `hello`",
          remedy: "Talk to the hub through iorun's SDK")
      }
      receivedHello(frame, from: connection)
    case .greeting: break
    case .zygote(let environment):
      guard frame.header.kind == .note else {
        throw IorunError(.malformed, "a zygote sent a frame of kind \(frame.header.kind.rawValue)")
      }
      try receivedFromZygote(frame, environment)
    case .process(let process):
      switch frame.header.kind {
      case .relay: try relay(frame.body, from: process, connection)
      case .request: receivedRequest(frame, from: process, connection)
      case .note: try receivedNote(frame, from: process, connection)
      default:
        throw IorunError(
          .malformed, "a process sent its hub a frame of kind \(frame.header.kind.rawValue)",
          remedy: "Peer frames go to processes, or into RELAY")
      }
    }
  }

  private func receivedRequest(
    _ frame: LocalFrame, from process: HubProcess, _ connection: HubConnection
  ) {
    let number = frame.header.number
    connection.openRequests += 1
    do {
      guard connection.openRequests <= LocalLimits.openRequests else {
        throw IorunError(
          .overloaded, "this process has \(LocalLimits.openRequests) requests open",
          remedy: "Wait for answers before asking for more")
      }
      let message = try LocalMessage(frame.body)
      guard let operation = LocalOperation(rawValue: frame.header.aux) else {
        throw IorunError(
          .malformed, "there is no operation \(frame.header.aux)",
          remedy: "Use the same release of iorun for the program and its node")
      }
      let ask = HubRequest(number: number, connection: connection, process: process)
      switch operation {
      case .lease: try lease(message, ask)
      case .actorCreate: try actorCreate(message, ask)
      case .actorWatch: try actorWatch(message, ask)
      case .actorNamed: try actorNamed(message, ask)
      case .actorNames: try actorNames(message, ask)
      case .actorKill: try actorKill(message, ask)
      case .groupCreate: try groupCreate(message, ask)
      case .groupWait: try groupWait(message, ask)
      case .groupRemove: try groupRemove(message, ask)
      case .groupTable: try groupTable(message, ask)
      case .groupNamed: try groupNamed(message, ask)
      case .alloc: try alloc(message, ask)
      case .pin: try pin(message, ask)
      case .nodes: listNodes(ask)
      case .resources: listResources(ask)
      case .list: try list(message, ask)
      default: throw IorunError(.malformed, "\(operation) is no request")
      }
    } catch {
      respond(connection.id, number, error: error)
    }
  }

  private func receivedNote(
    _ frame: LocalFrame, from process: HubProcess, _ connection: HubConnection
  ) throws {
    let message = try LocalMessage(frame.body)
    // Notes of operations that this release does not know are for a later one.
    guard let operation = LocalOperation(rawValue: frame.header.aux) else { return }
    switch operation {
    case .bye: process.farewell = ("the driver ended", true)
    case .leaseCancel: try leaseCancel(message, process, connection)
    case .leaseReturn: try leaseReturn(message, process)
    case .blocked: scheduler.blocked(process.worker, self)
    case .unblocked: scheduler.unblocked(process.worker, self)
    case .actorRelease: try actorRelease(message, process)
    case .actorReady: try actorReady(message, process)
    case .exiting: try exiting(message, process)
    case .seal: try seal(message, process)
    case .abort: try abort(message, process)
    case .unpin: try unpin(message, process)
    case .free: try free(message, process)
    case .report: try report(message, process)
    case .metric: try metric(message)
    default: throw IorunError(.malformed, "\(operation) is no note of a process")
    }
  }

  // MARK: Answers

  /// Answers a request, if whoever asked is still there.
  func respond(
    _ connection: UInt64, _ number: UInt64, json: some Collection<UInt8>, blob: Data = Data()
  ) {
    guard let connection = connections[connection] else { return }
    connection.openRequests -= 1
    write(.response, aux: 0, number: number, json: json, blob: blob, to: connection)
  }

  /// Answers with a value.
  func respond(_ connection: UInt64, _ number: UInt64, _ value: some Encodable, blob: Data = Data())
  {
    do {
      respond(connection, number, json: try LocalFrames.json(value), blob: blob)
    } catch {
      respond(connection, number, error: error)
    }
  }

  /// Answers with an error.
  func respond(_ connection: UInt64, _ number: UInt64, error: any Error) {
    guard let connection = connections[connection] else { return }
    connection.openRequests -= 1
    let json: Data
    do {
      json =
        if let loss = error as? HubLoss {
          try LocalFrames.json(loss.loss)
        } else {
          try LocalFrames.json(LocalFailure(error))
        }
    } catch {
      json = Data(#"{"code":"IOR-1901","message":"an error could not be written"}"#.utf8)
    }
    write(.response, aux: 1, number: number, json: json, to: connection)
  }

  /// Tells a process something unasked.
  func event(
    _ operation: LocalOperation, to connection: HubConnection, _ value: some Encodable,
    blob: Data = Data()
  ) {
    do {
      write(
        .event, aux: operation.rawValue, number: 0, json: try LocalFrames.json(value), blob: blob,
        to: connection)
    } catch {
      logger.error("an event could not be written: \(error)")
    }
  }

  func write(
    _ kind: LocalKind, aux: UInt16, number: UInt64, json: some Collection<UInt8>,
    blob: Data = Data(), to connection: HubConnection
  ) {
    guard !connection.isClosed else { return }
    do {
      try connection.outgoing.append(about: 24 + json.count + blob.count) { bytes in
        try LocalFrames.append(
          kind: kind, aux: aux, number: number, json: json, blob: blob, to: &bytes)
      }
      touch(connection)
    } catch {
      // Only an answer can be replaced: whoever waits must not wait for good.
      logger.error("a frame could not be written: \(error)")
      guard kind == .response, aux == 0 else { return }
      connection.openRequests += 1
      respond(connection.id, number, error: error)
    }
  }
}

/// A request that is to be answered: who asked, and under which number.
struct HubRequest {
  let number: UInt64
  let connection: HubConnection
  let process: HubProcess

  /// The same for a task: it must not hold what belongs to the hub's thread.
  var ticket: Ticket { Ticket(connection: connection.id, number: number) }

  /// Names a request.
  struct Ticket: Hashable, Sendable {
    let connection: UInt64
    let number: UInt64
  }
}

/// A loss as an error: it is written with all its detail.
struct HubLoss: Error {
  let loss: ProcessLoss
}
