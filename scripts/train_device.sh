# Sourced by train_gpu and train_tpu, which set EXTRA (of setup.py), DEVICE and USAGE: makes the environment, then trains.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
case "${1:-}" in
    "" | -h | --help)
        echo "$USAGE"
        exit
        ;;
esac
source "$ROOT/scripts/venv.sh"
environment="$ROOT/.venv-$EXTRA"
make_environment "$environment" "$EXTRA,cloud"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
exec "$environment/bin/python" -P -m training.train --device "$DEVICE" "$@"
