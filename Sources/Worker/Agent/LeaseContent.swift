public import IorunContent
public import IorunContract

/// What goes into a rank's working folder and what comes out of it, by way of the head's
/// content-addressed chunks.
public protocol LeaseContent: Sendable {
  /// Makes the folder's files from an encoded `Manifest`. `folder` exists and is empty. Throws
  /// `diskFull` where there is no room.
  func stage(_ workingFolder: Blob, into folder: String) async throws
  /// Makes the files of the image layout that came with the working folder: what lies below
  /// `ImageReference.layoutFolder`, which `stage` leaves out. `folder` is made. Throws `notFound` where
  /// none came, and `diskFull`.
  func stageImage(_ workingFolder: Blob, into folder: String) async throws
  /// Uploads the files below `folder` that match one of `patterns`, as far as the head lacks them,
  /// and then their list; `nil` where no file matches.
  func collect(_ patterns: [String], from folder: String) async throws -> OutputList?
}
