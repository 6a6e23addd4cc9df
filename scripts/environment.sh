# Sourced by the scripts: sets ROOT and PYTHON, and makes the environment on a fresh machine.
#
# An activated virtual environment is used as it is (install there what you need: pip install -e '.[beam,train-gpu,...]').
# Otherwise .venv is made with the CPU packages, and made up to date when setup.py changes. python3 with venv is all it takes.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

if [ -n "${VIRTUAL_ENV:-}" ]; then
    PYTHON="$VIRTUAL_ENV/bin/python"
else
    PYTHON="$ROOT/.venv/bin/python"
    stamp="$ROOT/.venv/installed"
    if ! cmp -s "$ROOT/setup.py" "$stamp"; then
        echo "installing packages into $ROOT/.venv (some minutes the first time)" >&2
        python3 -m venv "$ROOT/.venv"
        "$PYTHON" -m pip install --quiet --disable-pip-version-check -e "$ROOT[beam,train-cpu,inference,test]"
        cp "$ROOT/setup.py" "$stamp"
    fi
fi
