"""What a process of a job does under the public API: sockets, objects, tasks and actors."""
