"""The body of a request: kept encrypted on the disk until all of it has arrived, and who may wait.

A client decides how fast its body comes. So no transaction is open meanwhile, and few threads wait
for bodies at the same time. How long one may take is limited in `dtadmin.slow_clients`.
"""

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.fernet import Fernet
from django.conf import settings

LENGTH_BYTES = 4  # before each encrypted piece on the disk
MOST_OF_ONE = 2  # bodies of one key or user that a process reads at the same time
RETRY_AFTER = 10  # seconds, for a client that got no place
THREADS = 16  # of a process of the web server, unless it says otherwise: see gunicorn.conf.py


class Encrypted:
    """Bytes on the disk, in encrypted pieces and without a name.

    The key is only in memory: what a crash leaves behind cannot be read after this process ends.
    """

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by `close`
            dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        self.cipher = Fernet(Fernet.generate_key())
        self.size = 0

    def append(self, content: bytes) -> None:
        piece = self.cipher.encrypt(content)
        self.file.write(len(piece).to_bytes(LENGTH_BYTES) + piece)
        self.size += len(content)

    def chunks(self) -> Iterator[bytes]:
        """Yields the content from its beginning, in pieces as they arrived."""
        self.file.seek(0)
        while length := self.file.read(LENGTH_BYTES):
            yield self.cipher.decrypt(self.file.read(int.from_bytes(length)))

    def close(self) -> None:
        self.file.close()


class NoPlace(Exception):
    """As many bodies are being read as may be at once, of all clients or of this one."""


class Places:
    """Counts the bodies that this process reads, of everybody and of each client."""

    def __init__(self, threads: int) -> None:
        self.lock = threading.Lock()
        self.taken: Counter[str] = Counter()
        self.divide(threads)

    def divide(self, threads: int) -> None:
        """Gives half of the threads to bodies."""
        self.most = max(1, threads // 2)

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """A place for the time of the block, in which a body is read. Raises NoPlace."""
        with self.lock:
            if self.taken.total() >= self.most or self.taken[client] >= MOST_OF_ONE:
                raise NoPlace
            self.taken[client] += 1
        try:
            yield
        finally:
            with self.lock:
                self.taken[client] -= 1
                self.taken += Counter()  # drops the clients that have none


places = Places(THREADS)
