# Sourced by the scripts: sets ROOT and PYTHON, and makes the environment on a fresh machine.
#
# An activated virtual environment is used as it is (install there what you need: pip install -e '.[beam,train-gpu,...]').
# Otherwise .venv is made with the CPU packages, and made up to date when setup.py changes. python3 with venv is all it takes,
# or another Python that the environment's PYTHON names.
# Where NO_INSTALL is set nothing is checked or made: PYTHON may not be there.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

base_python="${PYTHON:-python3}"
PYTHON="${VIRTUAL_ENV:-$ROOT/.venv}/bin/python"
if [ -n "${NO_INSTALL:-}" ]; then
    return
fi

if [ -n "${VIRTUAL_ENV:-}" ]; then
    if ! "$PYTHON" -c "
import importlib.util, sys
sys.exit(any(not importlib.util.find_spec(name) for name in ('apache_beam', 'ai_edge_litert', 'keras', 'rich')))"; then
        echo "error: $VIRTUAL_ENV lacks packages: pip install -e '$ROOT[beam,train-cpu,inference]' there, or deactivate it" >&2
        exit 1
    fi
else
    if ! "$base_python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"; then
        echo "error: $base_python is $("$base_python" -V 2>&1), expected Python 3.11 to 3.13: install one, and set" \
            "PYTHON=python3.11" >&2
        exit 1
    fi
    stamp="$ROOT/.venv/installed"
    if ! cmp -s "$ROOT/setup.py" "$stamp"; then
        echo "installing packages into $ROOT/.venv (some minutes the first time)" >&2
        "$base_python" -m venv "$ROOT/.venv"
        "$PYTHON" -m pip install --quiet --disable-pip-version-check -e "$ROOT[beam,train-cpu,inference,plot,test]"
        cp "$ROOT/setup.py" "$stamp"
    fi
fi
