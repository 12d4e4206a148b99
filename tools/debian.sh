# To be sourced. Installs Debian packages as root or with sudo, and lists the packages if it cannot. On a terminal, sudo may ask for a
# password.
install_packages() {
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    sudo="sudo"
    [ -t 0 ] || sudo="sudo -n"
  fi
  if ! command -v apt-get >/dev/null; then
    echo "apt-get is not available. Install the packages $* manually." >&2
    return 1
  fi
  echo "Installing $* (Debian packages)" >&2
  $sudo apt-get update -qq >/dev/null || true
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || {
    echo "Could not install $*. Run 'apt-get install $*' as root, then try again." >&2
    return 1
  }
}
