internal import CWire
internal import IorunCore

/// Turns envelopes into payload bytes and back.
public enum EnvelopeCodec {
  /// Encodes an envelope.
  ///
  /// - Throws: `tooLarge` where the bytes would not fit a packet.
  public static func encode(_ envelope: Envelope) throws -> [UInt8] {
    let arena = Arena()
    var message = Iorun__Wire__Envelope()
    iorun__wire__envelope__init(&message)
    switch envelope {
    case .call(let call):
      message.body_case = IORUN__WIRE__ENVELOPE__BODY_CALL
      message.call = arena.message { body in
        iorun__wire__call__init(body)
        body.pointee.id = call.id
        body.pointee.actor = arena.string(call.actor)
        body.pointee.target = arena.string(call.target)
        body.pointee.arguments = arena.binary(call.arguments)
        body.pointee.timeout_milliseconds = call.timeoutMilliseconds
      }
    case .reply(let id, let outcome):
      message.body_case = IORUN__WIRE__ENVELOPE__BODY_REPLY
      message.reply = arena.message { body in
        iorun__wire__reply__init(body)
        body.pointee.id = id
        fill(&body.pointee, with: outcome, arena: arena)
      }
    case .cancel(let id, let actor):
      message.body_case = IORUN__WIRE__ENVELOPE__BODY_CANCEL
      message.cancel = arena.message { body in
        iorun__wire__cancel__init(body)
        body.pointee.actor = arena.string(actor)
        body.pointee.id = id
      }
    }
    var bytes: [UInt8] = []
    withExtendedLifetime(arena) {
      packed(
        &message, size: iorun__wire__envelope__get_packed_size, pack: iorun__wire__envelope__pack,
        into: &bytes, withLength: false)
    }
    guard bytes.count <= WireLimits.payloadBytes else {
      throw IorunError(
        .tooLarge,
        "a call or result of \(Bytes(UInt64(bytes.count))) is over the limit of "
          + "\(Bytes(UInt64(WireLimits.payloadBytes)))",
        remedy: "Send large data in pieces")
    }
    return bytes
  }

  /// Decodes an envelope.
  ///
  /// - Throws: `malformed` for bytes that no peer of this version sends.
  public static func decode(_ payload: [UInt8]) throws -> Envelope {
    let unpacked = payload.withUnsafeBufferPointer {
      iorun__wire__envelope__unpack(nil, $0.count, $0.baseAddress)
    }
    guard let unpacked else { throw IorunError(.malformed, "an envelope does not decode") }
    defer { iorun__wire__envelope__free_unpacked(unpacked, nil) }
    let message = unpacked.pointee
    switch message.body_case {
    case IORUN__WIRE__ENVELOPE__BODY_CALL:
      return .call(try decodeCall(message.call.pointee))
    case IORUN__WIRE__ENVELOPE__BODY_REPLY:
      return .reply(
        id: message.reply.pointee.id, try decodeOutcome(message.reply.pointee))
    case IORUN__WIRE__ENVELOPE__BODY_CANCEL:
      let cancel = message.cancel.pointee
      return .cancel(id: cancel.id, actor: text(cancel.actor))
    default:
      throw IorunError(.malformed, "an envelope has no body that this version knows")
    }
  }

  private static func fill(
    _ reply: inout Iorun__Wire__Reply, with outcome: Envelope.Outcome, arena: Arena
  ) {
    switch outcome {
    case .value(let bytes):
      reply.outcome_case = IORUN__WIRE__REPLY__OUTCOME_VALUE
      reply.value = arena.binary(bytes)
    case .nothing:
      reply.outcome_case = IORUN__WIRE__REPLY__OUTCOME_NOTHING
      reply.nothing = 1
    case .failure(let failure):
      reply.outcome_case = IORUN__WIRE__REPLY__OUTCOME_ERROR
      reply.error = arena.message { body in
        iorun__wire__remote_error__init(body)
        body.pointee.code = UInt32(clamping: failure.code)
        body.pointee.message = arena.string(failure.message)
        body.pointee.remedy = arena.string(failure.remedy)
        body.pointee.cause = arena.string(failure.cause)
        body.pointee.type = arena.string(failure.typeName)
        body.pointee.value = arena.binary(failure.value)
      }
    }
  }

  private static func decodeCall(_ body: Iorun__Wire__Call) throws -> Envelope.Call {
    let actor = text(body.actor)
    let target = text(body.target)
    guard actor.utf8.count <= WireLimits.nameBytes, target.utf8.count <= WireLimits.nameBytes
    else { throw IorunError(.malformed, "a call's names are too long") }
    return Envelope.Call(
      id: body.id, actor: actor, target: target, arguments: bytes(body.arguments),
      timeoutMilliseconds: body.timeout_milliseconds)
  }

  private static func decodeOutcome(_ body: Iorun__Wire__Reply) throws -> Envelope.Outcome {
    switch body.outcome_case {
    case IORUN__WIRE__REPLY__OUTCOME_VALUE: return .value(bytes(body.value))
    case IORUN__WIRE__REPLY__OUTCOME_NOTHING: return .nothing
    case IORUN__WIRE__REPLY__OUTCOME_ERROR:
      let error = body.error.pointee
      return .failure(
        Envelope.RemoteFailure(
          code: Int(error.code), message: text(error.message), remedy: text(error.remedy),
          cause: text(error.cause), typeName: text(error.type), value: bytes(error.value)))
    default: throw IorunError(.malformed, "a reply has no outcome that this version knows")
    }
  }
}
