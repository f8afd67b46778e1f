#!/bin/sh
# The drivers of disks that a guest may be started from.
if [ "${1:-}" = prereqs ]; then
  exit 0
fi
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_mmio virtio_blk virtio_scsi xen_blkfront nvme \
  ata_piix ata_generic ahci sd_mod sr_mod ext4
