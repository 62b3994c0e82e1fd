# What LuCI's luci.mk makes of a directory: a package of its htdocs and root. It also minifies; the packer does not.
PKG_NAME:=$(notdir $(CURDIR))

include $(INCLUDE_DIR)/package.mk

define Package/$(PKG_NAME)
  SECTION:=luci
  TITLE:=$(LUCI_TITLE)
  URL:=$(call given,LUCI_URL)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=all
endef

define Package/$(PKG_NAME)/description
  $(or $(call given,LUCI_DESCRIPTION),$(LUCI_TITLE))
endef

define Package/$(PKG_NAME)/install
	$(if $(wildcard htdocs),$(INSTALL_DIR) $(1)/www && cp -R htdocs/* $(1)/www/)
	$(if $(wildcard root),cp -R root/* $(1)/)
	chmod -R u=rwX,go=rX $(1)
	$(if $(wildcard luasrc src ucode),$(error the packer knows htdocs and root only))
endef

define Package/$(PKG_NAME)/postinst
[ -n "$${IPKG_INSTROOT}" ] || { rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	/etc/init.d/rpcd reload 2>/dev/null
	exit 0
}
endef

$(eval $(call BuildPackage,$(PKG_NAME)))
