# Sourced: installs Debian packages, as root or through sudo, and says which when it cannot. Where there is a terminal, sudo may
# ask for a password.
install_packages() {
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    sudo="sudo"
    [ -t 0 ] || sudo="sudo -n"
  fi
  if ! command -v apt-get >/dev/null; then
    echo "This needs the packages $*, and there is no apt-get here: install them by hand." >&2
    return 1
  fi
  echo "Installing $* (Debian packages)" >&2
  $sudo apt-get update -qq >/dev/null || true
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || {
    echo "Could not install $*: run 'apt-get install $*' as root, then try again." >&2
    return 1
  }
}
