#!/bin/sh
# Finishes a Debian tree and makes a file system of it. mmdebstrap runs it twice, with the tree in
# $2: "prepare" before packages are installed, "finish" after. Beside this file are:
#   settings     NAME=value: DISK_OFFSET (bytes), FS_KIB, UUID, MKE2FS
#   early, late  files to be copied into the tree before and after
#   password     what root's password shall be; root has none if it is missing
#   out          takes the boot loader's images
#   disk         the disk, whose partition begins at DISK_OFFSET
set -eu
step=$1
root=$2
here=$(dirname "$0")
. "$here/settings"

# The files belong to whoever builds; in the guest they are root's.
overlay() {
  (cd "$1" && tar --owner=0 --group=0 --mode=u+rwX,go+rX,go-w -cf - .) |
    tar -C "$root" --no-overwrite-dir --no-same-owner -xf -
}

prepare() {
  overlay "$here/early"
}

finish() {
  overlay "$here/late"
  if [ -f "$here/password" ]; then
    chroot "$root" chpasswd <"$here/password"
  else
    chroot "$root" passwd -q -d root
  fi
  chroot "$root" systemctl -q enable systemd-networkd.service
  if [ -f "$root/lib/systemd/system/systemd-resolved.service" ]; then
    chroot "$root" systemctl -q enable systemd-resolved.service
  fi

  # The boot loader's modules, and its core image, which finds the rest by the file system's UUID.
  grub=$root/boot/grub
  mkdir -p "$grub/i386-pc"
  cp "$root"/usr/lib/grub/i386-pc/*.mod "$root"/usr/lib/grub/i386-pc/*.lst "$grub/i386-pc/"
  printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\n' "$UUID" >"$grub/early.cfg"
  chroot "$root" grub-mkimage -O i386-pc -o /boot/grub/i386-pc/core.img \
    -c /boot/grub/early.cfg -p '(,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 search_fs_uuid
  cp "$root/usr/lib/grub/i386-pc/boot.img" "$grub/i386-pc/core.img" "$here/out/"

  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*
  rm -rf "$root"/var/log/* "$root"/tmp/*
  : >"$root/etc/machine-id"
  rm -f "$root/var/lib/dbus/machine-id"
  if [ -e "$root/lib/systemd/system/systemd-resolved.service" ]; then
    rm -f "$root/etc/resolv.conf"
    ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
  fi

  # What is mounted in the tree is the host's; a bind mount shows what is beneath it.
  source=$root
  plain=$(mktemp -d)
  if mount --bind "$root" "$plain" 2>/dev/null; then
    source=$plain
  fi
  echo "I: making the file system..." >&2
  # Newer programs switch on what the boot loader cannot read; older ones do not know the names.
  "$MKE2FS" -q -F -t ext4 -O '^metadata_csum_seed,^orphan_file' -L debian -U "$UUID" \
    -E "offset=$DISK_OFFSET,lazy_itable_init=0" -m 1 -d "$source" "$here/disk" "${FS_KIB}k" \
    2>"$here/out/mke2fs" ||
    "$MKE2FS" -q -F -t ext4 -O '^metadata_csum_seed' -L debian -U "$UUID" \
      -E "offset=$DISK_OFFSET,lazy_itable_init=0" -m 1 -d "$source" "$here/disk" "${FS_KIB}k" \
      2>"$here/out/mke2fs" || {
    echo "E: mke2fs: $(grep -v '^mke2fs ' "$here/out/mke2fs" | tail -n 1)" >&2
    exit 1
  }
  if [ "$source" = "$plain" ]; then
    umount "$plain"
  fi
  rmdir "$plain"
}

"$step"
