"""The scenes that sessions have open, of bounded number and size; what was not used for longest goes first."""

import secrets
from collections import OrderedDict
from threading import Lock

from unipan.server.scenes import OpenScene

PER_SESSION = 8
"""Scenes of one browser: one that opens many does not push those of others out."""


class SceneShelf:
    """Open scenes by session and name. A session sees its own alone. It may be used from several threads."""

    def __init__(self, most_bytes: int) -> None:
        """Start empty; the last scene stays even if it alone is larger than `most_bytes`."""
        self.most_bytes = most_bytes
        self._scenes: OrderedDict[tuple[str, str], OpenScene] = OrderedDict()
        self._lock = Lock()

    def put(self, session: str, scene: OpenScene) -> str:
        """Keep a scene, and let others go if need be; returns its key."""
        key = secrets.token_urlsafe(9)
        with self._lock:
            self._scenes[session, key] = scene
            own = [each for each in self._scenes if each[0] == session]
            for each in own[:-PER_SESSION]:
                del self._scenes[each]
            self._shrink()
        return key

    def get(self, session: str, key: str) -> OpenScene | None:
        """A scene of this session; None if it was let go, or never was."""
        with self._lock:
            found = self._scenes.get((session, key))
            if found is not None:
                self._scenes.move_to_end((session, key))
            return found

    def drop(self, session: str, key: str) -> None:
        """Let a scene go."""
        with self._lock:
            self._scenes.pop((session, key), None)

    def shrink(self) -> None:
        """Look again how large the scenes are: they grow with their first edit."""
        with self._lock:
            self._shrink()

    @property
    def nbytes(self) -> int:
        """What all scenes hold."""
        return sum(each.scene.nbytes for each in self._scenes.values())

    def __len__(self) -> int:
        return len(self._scenes)

    def _shrink(self) -> None:
        while len(self._scenes) > 1 and self.nbytes > self.most_bytes:
            self._scenes.popitem(last=False)
