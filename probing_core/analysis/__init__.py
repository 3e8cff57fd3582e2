"""From tidy result rows to the numbers a reader compares."""
