# Sourced, where ROOT is set: make_environment DIRECTORY EXTRAS makes a virtual environment with these extras of setup.py in
# the versions of constraints.txt, with the Python that the variable PYTHON names (python3 if none), unless it is there
# already, of the same two files.
BASE_PYTHON="${PYTHON:-python3}"

make_environment() {
    if cat "$ROOT/setup.py" "$ROOT/scripts/constraints.txt" | cmp -s - "$1/installed"; then
        return
    fi
    if ! "$BASE_PYTHON" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"; then
        echo "error: $BASE_PYTHON is $("$BASE_PYTHON" -V 2>&1), expected Python 3.11 to 3.13: install one, and set" \
            "PYTHON=python3.11" >&2
        exit 1
    fi
    echo "installing packages into $1 (some minutes the first time)" >&2
    "$BASE_PYTHON" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check -c "$ROOT/scripts/constraints.txt" -e "$ROOT[$2]"
    cat "$ROOT/setup.py" "$ROOT/scripts/constraints.txt" >"$1/installed"
}
