"""What every part uses: command line, files, signals, progress."""
