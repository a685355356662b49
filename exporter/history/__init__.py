"""What was: quarter hours of every way and every change, in one small file that outlives a restart."""
