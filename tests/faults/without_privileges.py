"""Run a command as a user whom permissions bind, even for root: `python -m tests.faults.without_privileges COMMAND...`."""

import ctypes
import os
import sys

_DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP of prctl(2)
_BEYOND_PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_SINGLE_THREAD_NUMBER = "1"

if __name__ == "__main__":
    if os.geteuid() == 0:
        for capability in _BEYOND_PERMISSIONS:
            ctypes.CDLL(None, use_errno=True).prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
