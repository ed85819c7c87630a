"""The DICOM upper layer (PS3.8): the only user of pynetdicom's private parts."""
