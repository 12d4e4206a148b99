"""Worker processes of a pool that end with the process that started them."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_the_parent() -> None:
    """In a worker: end this process when its parent ends. Workers of a killed parent would otherwise wait without end."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
