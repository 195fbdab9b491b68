internal import Synchronization

/// A value behind a lock, for the few fields that a device's calls share.
final class Synchronized<Value: Sendable>: Sendable {
  private let storage: Mutex<Value>

  init(_ value: Value) { storage = Mutex(value) }

  var value: Value { storage.withLock { $0 } }

  func set(_ value: Value) { storage.withLock { $0 = value } }

  /// Puts a value in and gives the one that was there.
  func exchange(_ value: Value) -> Value {
    storage.withLock { old in
      defer { old = value }
      return old
    }
  }
}
