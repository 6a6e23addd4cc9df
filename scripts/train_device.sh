# Sourced by train_gpu and train_tpu, which set EXTRA (of setup.py), DEVICE and USAGE: makes the environment, with $PYTHON
# or python3, then trains.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
case "${1:-}" in
    "" | -h | --help)
        echo "$USAGE"
        exit
        ;;
esac
environment="$ROOT/.venv-$EXTRA"
python="${PYTHON:-python3}"
if ! cmp -s "$ROOT/setup.py" "$environment/installed"; then
    if ! "$python" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"; then
        echo "error: $python is $("$python" -V 2>&1), expected Python 3.11 to 3.13: install one, and set PYTHON=python3.11" >&2
        exit 1
    fi
    echo "installing packages into $environment (some minutes the first time)" >&2
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -e "$ROOT[$EXTRA,cloud]"
    cp "$ROOT/setup.py" "$environment/installed"
fi
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
exec "$environment/bin/python" -m training.train --device "$DEVICE" "$@"
