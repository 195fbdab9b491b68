"""What tests take from `ray._common`."""
