#!/usr/bin/env bash
# Installs what is missing, without starting any service.
# Usage: packages.sh COMMAND[|COMMAND…]=PACKAGE …   (any of the commands will do; one with arguments
# is run, and must succeed)
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

missing=()
for pair in "$@"; do
  found=
  IFS='|' read -ra commands <<< "${pair%%=*}"
  for command in "${commands[@]}"; do
    if [[ $command == *' '* ]]; then
      if $command > /dev/null 2>&1; then found=yes; fi
    elif command -v "$command" > /dev/null; then
      found=yes
    fi
  done
  if [ -z "$found" ]; then missing+=("${pair#*=}"); fi
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if ! command -v apt-get > /dev/null; then
  echo "Missing: ${missing[*]}. Install them with this system's package manager (the names are" >&2
  echo "Debian's; valkey-server does as well as redis-server)." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "Missing: ${missing[*]}. Run this once, then again what you ran:" >&2
  echo "  sudo $(cd "$(dirname "$0")" && pwd)/packages.sh ${*@Q}" >&2
  echo "or, on a machine where their services may be started:" >&2
  echo "  sudo apt-get update && sudo apt-get install --yes ${missing[*]}" >&2
  exit 1
fi

echo "Installing ${missing[*]}" >&2
# Packages ask this file whether they may start their services (Debian Policy 9.11.3).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
# Nor at the next start of the machine.
if [ -d /run/systemd/system ]; then
  for package in "${missing[@]}"; do
    if systemctl is-enabled --quiet "$package.service" 2> /dev/null; then
      systemctl disable --quiet "$package.service"
    fi
  done
fi
