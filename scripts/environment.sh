# Sourced by the scripts: sets ROOT and PYTHON, and makes the environment on a fresh machine.
#
# An activated virtual environment is used as it is (install there what you need: pip install -e '.[beam,train-gpu,...]').
# Otherwise .venv is made with the CPU packages, and made up to date when setup.py changes. python3 with venv is all it takes,
# or another Python that the environment's PYTHON names.
# Where NO_INSTALL is set nothing is checked or made: PYTHON may not be there.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

source "$ROOT/scripts/venv.sh"
PYTHON="${VIRTUAL_ENV:-$ROOT/.venv}/bin/python"
if [ -n "${NO_INSTALL:-}" ]; then
    return
fi

if [ -z "${VIRTUAL_ENV:-}" ]; then
    make_environment "$ROOT/.venv" beam,train-cpu,inference,report,test
elif ! "$PYTHON" -c "
import importlib.util, sys
sys.exit(any(not importlib.util.find_spec(name) for name in ('apache_beam', 'ai_edge_litert', 'keras', 'rich')))"; then
    echo "error: $VIRTUAL_ENV lacks packages: pip install -e '$ROOT[beam,train-cpu,inference]' there, or deactivate it" >&2
    exit 1
fi
