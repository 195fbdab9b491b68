internal import CPath
internal import CSCTP
internal import Foundation

/// One TCP connection on this machine and the association that carries it to the other end. Owned by
/// the engine's thread. Of each direction at most one piece is held here; the rest waits where it came
/// from, so that a slow reader slows the writer at the other end and fills no memory.
final class AssociationSplice {
  /// The pieces that are moved at once.
  static let outwardPiece = 16 << 10, inwardPiece = 64 << 10
  /// Pieces of a turn, so that one busy stream does not hold up the others.
  static let piecesPerTurn = 32

  let stream: Int32
  private let association: OpaquePointer
  private var outward: Piece
  private var inward: Piece
  /// The other end has sent its last byte.
  private var hasEnded = false

  /// Bytes between two places.
  private struct Piece {
    var bytes: [UInt8]
    var filled = 0..<0
    var isEmpty: Bool { filled.isEmpty }

    init(_ count: Int) { bytes = [UInt8](repeating: 0, count: count) }
  }

  /// How it stands after a turn.
  enum Outcome {
    case waiting
    /// There is more to move at once.
    case busy
    case over
  }

  init(stream: Int32, association: OpaquePointer) {
    self.stream = stream
    self.association = association
    outward = Piece(Self.outwardPiece)
    inward = Piece(Self.inwardPiece)
  }

  /// What the stream is to be waited for.
  var events: Int16 {
    (outward.isEmpty ? Int16(POLLIN) : 0) | (inward.isEmpty ? 0 : Int16(POLLOUT))
  }

  /// Moves what can be moved.
  func turn() -> Outcome {
    let one = moveInward()
    if one == .over {
      end(atOnce: true)
      return .over
    }
    let other = moveOutward()
    if other == .over {
      // The stream has ended here, or the association: what was sent is delivered if it can be.
      end(atOnce: false)
      return .over
    }
    return one == .busy || other == .busy ? .busy : .waiting
  }

  /// Ends both.
  func end(atOnce: Bool) {
    iorun_sctp_close(association, atOnce ? 1 : 0)
    close(stream)
  }

  private func moveInward() -> Outcome {
    for _ in 0..<Self.piecesPerTurn {
      if inward.isEmpty {
        if hasEnded { return .over }
        let count = inward.bytes.withUnsafeMutableBytes {
          iorun_sctp_receive(association, $0.baseAddress, $0.count)
        }
        if count == -Int(EAGAIN) { return .waiting }
        if count < 0 { return .over }
        hasEnded = count == 0
        inward.filled = 0..<count
      } else {
        let filled = inward.filled
        let count = inward.bytes.withUnsafeBytes {
          Glibc.send(
            stream, $0.baseAddress?.advanced(by: filled.lowerBound), filled.count,
            Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        }
        // ENOTCONN: the stream to the listener here is still being made.
        if count < 0 {
          return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? .waiting : .over
        }
        inward.filled = (filled.lowerBound + count)..<filled.upperBound
      }
    }
    return .busy
  }

  private func moveOutward() -> Outcome {
    for _ in 0..<Self.piecesPerTurn {
      if outward.isEmpty {
        let count = outward.bytes.withUnsafeMutableBytes {
          recv(stream, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
        if count < 0 {
          return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? .waiting : .over
        }
        if count == 0 { return .over }
        outward.filled = 0..<count
      } else {
        let filled = outward.filled
        let count = outward.bytes.withUnsafeBytes {
          iorun_sctp_send(
            association, $0.baseAddress?.advanced(by: filled.lowerBound), filled.count)
        }
        if count == -Int(EAGAIN) { return .waiting }
        if count < 0 { return .over }
        outward.filled = (filled.lowerBound + count)..<filled.upperBound
      }
    }
    return .busy
  }
}
