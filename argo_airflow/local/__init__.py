"""The embedded pod runtime: the pod part of the Kubernetes API over sandboxed processes on this machine.

``server`` the routes · ``objects`` store, selectors, watch · ``pods`` a pod's life · ``containers`` what one container
runs · ``volumes`` · ``logs`` · ``mounts`` what a container's file system is made of · ``sandbox`` the engines ·
``images`` what stands in for an image · ``resources`` Secrets and ConfigMaps from folders.
"""
