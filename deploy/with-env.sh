#!/usr/bin/env bash
# Runs a command with the variables of .env, as docker compose reads them: lines NAME=VALUE, in
# quotes or not; what the environment already says wins.
# Usage: with-env.sh COMMAND [ARGUMENT…]
set -euo pipefail

if [ -f .env ]; then
  while IFS= read -r line || [ -n "$line" ]; do
    line="${line%$'\r'}"
    line="${line#"${line%%[![:space:]]*}"}"
    line="${line#export }"
    if [[ ! "$line" =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]]; then continue; fi
    name="${BASH_REMATCH[1]}" value="${BASH_REMATCH[2]}"
    value="${value#"${value%%[![:space:]]*}"}"
    if [[ "$value" =~ ^\"(.*)\"[[:space:]]*(#.*)?$ || "$value" =~ ^\'(.*)\'[[:space:]]*(#.*)?$ ]]; then
      value="${BASH_REMATCH[1]}"
    else
      value="${value%%[[:space:]]#*}"
      value="${value%"${value##*[![:space:]]}"}"
    fi
    if [ -z "${!name+set}" ]; then export "$name=$value"; fi
  done < .env
fi
exec "$@"
