"""`python -S -E measured_child.py STDOUT STDERR COMMAND…`: runs it and prints what it used, from a small process.

A child's peak is never told smaller than its parent was when it began (getrusage(2)): so the parent has to be small,
and imports as little as this does. SIGINT to both ends the command alone.
"""

import os
import signal
import sys
import time


def main() -> None:
    """Prints CPU seconds, wall seconds, peak KiB and exit status."""
    stdout, stderr, *command = sys.argv[1:]
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        for target, path in ((1, stdout), (2, stderr)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), target)
        os.execvp(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status, used = os.wait4(child, 0)
    print(used.ru_utime + used.ru_stime, time.monotonic() - begun, used.ru_maxrss, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
