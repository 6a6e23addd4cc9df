"""What every command shares: errors, arguments, progress, directories, storage, processes."""
