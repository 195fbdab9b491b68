"""What programs and tests take from `ray._private` although they should not."""
