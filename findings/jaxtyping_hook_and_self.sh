#!/usr/bin/env bash
# jaxtyping 0.3.11 with beartype 0.23.1, Python 3.11.
# Guess: a module that beartype's own @beartype on the class accepts is accepted by jaxtyping's import hook, too.
# Seen: the hook decorates the methods, not the class, so `typing.Self` (PEP 673) fails when the module is imported;
# the class's name as a string works. In a package whose tests run under the hook, Self passes type checkers and breaks
# every test.
# Output seen: "beartype on the class: accepted; jaxtyping's hook: refused; the class's name: accepted"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check jaxtyping==0.3.11 beartype==0.23.1 numpy==2.4.0
cat > with_self.py <<'PY'
from typing import Self


class Sum:
    def __add__(self, other: Self) -> Self:
        return self
PY
sed 's/from typing import Self//; s/: Self/: "Sum"/; s/-> Self/-> "Sum"/' with_self.py > with_name.py
{ echo "from beartype import beartype"; sed 's/^class/@beartype\nclass/' with_self.py; } > decorated.py
tried() { env/bin/python -c "$1" > /dev/null 2>&1 && echo accepted || echo refused; }
hook='from jaxtyping import install_import_hook
install_import_hook(["with_self", "with_name"], "beartype.beartype")
import '
a=$(tried "import decorated")
b=$(tried "${hook}with_self")
c=$(tried "${hook}with_name")
echo "beartype on the class: $a; jaxtyping's hook: $b; the class's name: $c"
[ "$a" = accepted ] && [ "$b" = refused ] && [ "$c" = accepted ]
