"""What a worker does when it is asked to stop: it sets a flag, and ends for certain when nobody heeds that in time."""

import logging
import os
import signal
import socket
import threading
import time

GRACE = 25.0  # seconds from SIGTERM to the end where the main thread does not get to it; Kubernetes gives 30
log = logging.getLogger("colchis")


class Stop:
    """Whether SIGTERM has come; the signal is noted even while TensorFlow keeps the main thread."""

    def __init__(self, exit_code: int, grace: float = GRACE) -> None:
        self.exit_code, self.grace = exit_code, grace
        self.asked = False

    def install(self) -> None:
        """Take SIGTERM from whoever has it, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGTERM, self._note)
        wakes, wakened = socket.socketpair()
        wakened.setblocking(False)
        signal.set_wakeup_fd(wakened.fileno(), warn_on_full_buffer=False)

        def watch() -> None:
            with wakes, wakened:
                while signal.SIGTERM not in wakes.recv(16):
                    pass
                self.asked = True
                time.sleep(self.grace)
                log.error("asked to stop (SIGTERM), and not through after %.0f s; ending", self.grace)
                os._exit(self.exit_code)

        threading.Thread(target=watch, name="end-on-sigterm", daemon=True).start()

    def _note(self, *_: object) -> None:
        self.asked = True
