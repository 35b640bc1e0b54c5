"""Images and videos: reading them with checks, and writing videos."""
