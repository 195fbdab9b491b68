internal import Glibc

/// What one thread keeps for itself: whether it is one of the executor's, and the object references of
/// the value that it encodes or decodes now. Coding is synchronous, so one slot a thread is enough, and
/// a dictionary for each value is spared.
final class ThreadSlot {
  var isRunner = false
  /// What the encoding has collected, or what the decoding may refer to; `nil` outside of both.
  var objects: [ObjectHandle]?

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { slot in
      if let slot { Unmanaged<ThreadSlot>.fromOpaque(slot).release() }
    }
    return key
  }()

  /// The slot of the thread that asks.
  static var current: ThreadSlot {
    if let slot = pthread_getspecific(key) {
      return Unmanaged<ThreadSlot>.fromOpaque(slot).takeUnretainedValue()
    }
    let slot = ThreadSlot()
    pthread_setspecific(key, Unmanaged.passRetained(slot).toOpaque())
    return slot
  }
}
