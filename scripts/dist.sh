#!/usr/bin/env bash
# Makes the packages of this machine's architecture: dist.sh; build/dist/forebay_VERSION_ARCH.deb and
# build/dist/forebay-VERSION-linux-ARCH.tar.gz. Both have the same files; the tarball brings shared libraries along, the
# .deb depends on Debian's. The same tree gives the same bytes: times in them are the last commit's.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh release forebay forebay_library

out=$PWD/build/dist
version=$(sed -n 's/^project(forebay VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
rm -rf "$out"
mkdir -p "$out"

# install_tree PREFIX LIBRARIES: what both have, stripped, below a directory that will be /usr or the tarball's root.
install_tree() {
  cmake --install build/release --prefix "$1" --strip >/dev/null
  install -d "$1/share/doc/forebay" "$1/share/forebay"
  install -m 0644 README.md ARCHITECTURE.md LICENSE docs/*.md "$1/share/doc/forebay/"
  install -m 0644 packaging/forebay.toml.example packaging/forebay.service \
    packaging/forebay-helper.service "$1/share/forebay/"
}

make_deb() {
  local root=$out/deb
  install_tree "$root/usr"
  install -d "$root/lib/systemd/system"
  mv "$root"/usr/share/forebay/*.service "$root/lib/systemd/system/"
  install -d -m 0755 "$root/DEBIAN"
  install -m 0755 packaging/postinst packaging/prerm "$root/DEBIAN/"
  mkdir -p "$out/shlibs/debian"
  printf 'Source: forebay\n\nPackage: forebay\nArchitecture: any\n' >"$out/shlibs/debian/control"
  local depends
  depends=$(cd "$out/shlibs" && dpkg-shlibdeps -O --ignore-missing-info "$root/usr/bin/forebay" \
    "$(readlink -f "$root/usr/lib/libforebay.so")" 2>"$out/shlibs.log" | sed -n 's/^shlibs:Depends=//p')
  [[ -n $depends ]] || { echo "dist: no dependencies found:" >&2; cat "$out/shlibs.log" >&2; return 1; }
  cat >"$root/DEBIAN/control" <<CONTROL
Package: forebay
Version: $version
Architecture: $arch
Maintainer: The Forebay authors <forebay@invalid>
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends, ca-certificates, passwd
Recommends: fuse3
Section: net
Priority: optional
Description: cache for AI between jobs and object storage
 One cache for training data, checkpoints and models, pooled over the memory of
 every node, between GPU jobs and Azure Blob, S3 or directories: a mount, a
 command line, and libraries in C and C++.
CONTROL
  find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group --build "$root" "$out/forebay_${version}_$arch.deb" >/dev/null
}

# Libraries of the system's own runtime stay the system's: a second C library in a process is trouble.
is_system() {
  case $(basename "$1") in
    ld-linux* | libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | libstdc++.so* | \
      libgcc_s.so* | linux-vdso*) return 0 ;;
  esac
  return 1
}

make_tarball() {
  local name=forebay-$version-linux-$(uname -m) root library
  root=$out/$name
  install_tree "$root"
  install -m 0644 packaging/INSTALL.md "$root/"
  install -d "$root/lib/forebay"
  while read -r library; do
    is_system "$library" || install -m 0644 "$(readlink -f "$library")" "$root/lib/forebay/$(basename "$library")"
  done < <(ldd build/release/bin/forebay "$(readlink -f "$root/lib/libforebay.so")" | awk '$2 == "=>" {print $3}' | sort -u)
  patchelf --set-rpath "\$ORIGIN/../lib/forebay" "$root/bin/forebay"
  patchelf --set-rpath "\$ORIGIN/forebay" "$(readlink -f "$root/lib/libforebay.so")"
  for library in "$root"/lib/forebay/*; do patchelf --set-rpath "\$ORIGIN" "$library"; done
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$out" -cf - "$name" |
    gzip -n >"$out/$name.tar.gz"
}

make_deb
make_tarball
rm -rf "$out/shlibs" "$out/shlibs.log"
du -h "$out"/*.deb "$out"/*.tar.gz | sed 's/^/dist: /'
